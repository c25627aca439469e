from analyses.generalisation import main

raise SystemExit(main())
