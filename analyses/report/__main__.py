from analyses.report import main

raise SystemExit(main())
