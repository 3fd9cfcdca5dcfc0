/*
 * The task that maps a migrated page again, in Linux 6.1: remove_migration_pte() of mm/migrate.c.  The entry is in the first
 * address space; who migrates has a reference.  anon_vma's lock keeps only other walks of the reverse map out: there is none.
 */
proctype migration(byte on_cpu) {
	LOCALS;
	c = on_cpu;
	take(mm[0].ptl);
	d_step { refs++; tell() } /* folio_get() */
	mlock_vma_folio(0); /* at the end of page_add_anon_rmap() */
	d_step { mm[0].entry = MAPPED; tell() } /* set_pte_at() */
	if
	:: without == MIGRATION_DRAIN
	:: else ->
		if
		:: mm[0].vm_locked -> mlock_page_drain_local() /* a second look at vm_flags */
		:: else
		fi
	fi;
	drop(mm[0].ptl);
	put_page(); /* migrate_folio_move(): folio_put(dst) */
	done++
}
