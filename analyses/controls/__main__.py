from analyses.controls import main

raise SystemExit(main())
