# A burial that does not see that a cell of the dead sender stands in a ring already.
/^static bool settle(/,/^}/ s/if (cw.state == CELL_OWNED && shm/if (!b \&\& shm/
