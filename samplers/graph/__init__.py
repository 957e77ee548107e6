"""The knowledge graph: Arrow tables and CSR adjacency, loaded, checked and shared read-only."""
