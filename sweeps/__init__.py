"""Many runs: a study file becomes a plan, the plan becomes cohorts, cohorts become records."""
