"""What travels between the parts of Reelsift: errors, ids, tables, results, manifests, config and HTTP bodies."""
