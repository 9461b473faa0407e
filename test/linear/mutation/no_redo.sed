# A claim that does not redo what the dead owner committed.
s/^\trecord_redo(shm, &record);/\t(void)record_redo;/
