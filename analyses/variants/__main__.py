from analyses.variants import main

raise SystemExit(main())
