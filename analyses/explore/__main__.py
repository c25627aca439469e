from analyses.explore import main

raise SystemExit(main())
