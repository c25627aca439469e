from analyses.semantics import main

raise SystemExit(main())
