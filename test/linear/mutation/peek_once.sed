# A reader that does not look again whether the entry still stands.
/^int mailbox_peek/,/^}/ s/if (atom_load_relaxed(entry_at(shm, mailbox, h)) != entry)/if (entry == 0)/
