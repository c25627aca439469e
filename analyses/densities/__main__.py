from analyses.densities import main

raise SystemExit(main())
