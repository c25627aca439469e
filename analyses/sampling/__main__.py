from analyses.sampling import main

raise SystemExit(main())
