from analyses.report.all_claims import main

raise SystemExit(main())
