from analyses.textures import main

raise SystemExit(main())
