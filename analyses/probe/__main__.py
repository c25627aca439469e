from analyses.probe import main

raise SystemExit(main())
