from analyses.attribution import main

raise SystemExit(main())
