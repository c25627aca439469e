from analyses.selectivity import main

raise SystemExit(main())
