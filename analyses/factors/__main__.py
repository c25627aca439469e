from analyses.factors import main

raise SystemExit(main())
