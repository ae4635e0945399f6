"""Any dataset in, one ``Sample`` record out, rejects with their reasons."""
