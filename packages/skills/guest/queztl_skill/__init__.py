"""What Queztl's skills share: a task's input and output, tables, grids, maps, reports."""
