/*
 * The task that maps a migrated page again, in Linux 6.1: remove_migration_pte() of mm/migrate.c.  The entry is in the first
 * address space, unless a hole was punched; who migrates has a reference, and the page lock.  Other walks of the reverse map
 * are let in, since all of them read.  LRU_FIRST left out: the page is put on its LRU afterwards, as before patch 08.
 */
proctype migration(byte on_cpu) {
	LOCALS;
	c = on_cpu;
	take(mm[0].ptl);
	if
	:: mm[0].entry[which] == MIGRATION ->
		d_step { refs++; tell() } /* folio_get() */
		mlock_vma_folio(0); /* at the end of page_add_anon_rmap() */
		d_step { mm[0].entry[which] = MAPPED; tell() } /* set_pte_at() */
		if
		:: without == MIGRATION_DRAIN
		:: else ->
			if
			:: mm[0].vm_locked -> mlock_page_drain_local() /* a second look at vm_flags */
			:: else
			fi
		fi
	:: else
	fi;
	drop(mm[0].ptl);
	drop(page_lock);
	if
	:: without == LRU_FIRST -> folio_putback_lru(); lru_add_drain()
	:: else -> put_page() /* migrate_folio_move(): folio_put(dst) */
	fi;
	done++
}
