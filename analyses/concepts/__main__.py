from analyses.concepts import main

raise SystemExit(main())
