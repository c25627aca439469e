from analyses.claims import main

raise SystemExit(main())
