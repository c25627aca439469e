from analyses.subspaces import main

raise SystemExit(main())
