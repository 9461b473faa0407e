# A lookup that does not see whether its bucket has changed under it.
/^int names_lookup/,/^}/ s/if (atom_load_relaxed(head) == seen)/if (1)/
