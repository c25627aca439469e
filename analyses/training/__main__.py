from analyses.training import main

raise SystemExit(main())
