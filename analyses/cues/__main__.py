from analyses.cues import main

raise SystemExit(main())
