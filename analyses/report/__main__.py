from analyses.report.commands import main

raise SystemExit(main())
