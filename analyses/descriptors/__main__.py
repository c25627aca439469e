from analyses.descriptors import main

raise SystemExit(main())
