from analyses.noise_level import main

raise SystemExit(main())
