from analyses.clusters import main

raise SystemExit(main())
