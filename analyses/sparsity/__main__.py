from analyses.sparsity import main

raise SystemExit(main())
