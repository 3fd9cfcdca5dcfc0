/*
 * The task that reclaims an anonymous page in Linux 6.1: shrink_inactive_list() and shrink_folio_list() of mm/vmscan.c with
 * folio_referenced_one() and try_to_unmap_one() of mm/rmap.c, then a drain.  The page was not referenced lately;
 * of two it is the second.
 */
inline folio_referenced_one() {
	take(mm[0].ptl);
	seen = 0;
	if
#ifdef PATCH_07
	:: true /* that VM_LOCKED is seen stops nothing */
#else
	:: MAPPED_IN(0) && mm[0].vm_locked -> seen = 1; mlock_vma_folio(0) /* which looks at vm_flags again */
	:: else
#endif
	fi;
	drop(mm[0].ptl)
}

inline try_to_unmap_one() {
	take(mm[0].ptl);
	if
	:: MAPPED_IN(0) ->
		if
		:: mm[0].vm_locked -> mlock_vma_folio(0) /* which looks at vm_flags again */
		:: else ->
			d_step { mm[0].entry[which] = SWAP; tell() }
			munlock_vma_page(0); /* at the end of page_remove_rmap(), which looks at vm_flags again */
			if
			:: mm[0].vm_locked -> mlock_page_drain_local() /* and again */
			:: else
			fi;
			put_page() /* the reference that the entry had */
		fi
	:: else
	fi;
	drop(mm[0].ptl)
}

/* Leaves `kept` set if the page is to be put back. */
inline shrink_folio_list() {
	folio_referenced_one();
	if
	:: !seen -> /* folio_check_references() */
		d_step { refs++; cached = 1; tell() } /* add_to_swap() */
		try_to_unmap_one();
		if
		:: MAPPED_IN(0) -> /* activate_locked: folio_free_swap() if mlocked */
			if
			:: pg_mlocked -> d_step { cached = 0; refs--; tell() }
			:: else
			fi
		:: else ->
			d_step { /* __remove_mapping(): nobody else has a reference */
				if
				:: refs == 2 -> kept = 0; cached = 0; refs = 0; free_page(); tell()
				:: else
				fi
			}
		fi
	:: else
	fi
}

/*
 * As the explorer's model has it (docs/fidelity.md): vm_flags is looked at in one place, and not again once it has been found
 * that the page may go; it is not unmapped if anybody else has a reference, and if it is unmapped it is freed.
 */
inline shrink_simply() {
	take(mm[0].ptl);
	if
	:: MAPPED_IN(0) && mm[0].vm_locked -> mlock_vma_folio(0) /* which looks at vm_flags again */
	:: MAPPED_IN(0) && !mm[0].vm_locked ->
		d_step {
			unmapped = (refs == 2); /* of the entry and of the isolation */
			if
			:: unmapped -> mm[0].entry[which] = SWAP; refs--
			:: else
			fi;
			tell()
		}
	:: else
	fi;
	drop(mm[0].ptl);
	if
	:: unmapped -> put_page(); kept = 0
	:: else
	fi
}

proctype reclaim(byte on_cpu) {
	LOCALS;
	bit seen, unmapped, found, kept;
	c = on_cpu;
#ifdef TWO_PAGES
	which = 1;
#endif
	atomic { /* isolate_lru_folios(), under the LRU lock, off an evictable list */
		!lru_lock ->
		kept = pg_lru && !pg_unevictable;
		if
		:: kept -> pg_lru = 0; refs++
		:: else
		fi;
		tell()
	}
	if
	:: kept ->
		atomic { found = !page_lock; page_lock = 1 } /* folio_trylock() */
		if
		:: found ->
			if
			:: !pg_mlocked -> /* folio_evictable() */
				if
				:: in_full -> shrink_folio_list()
				:: else -> shrink_simply()
				fi
			:: else
			fi;
			page_lock = 0
		:: else
		fi;
		if
		:: kept -> folio_putback_lru()
		:: else
		fi
	:: else
	fi;
	lru_add_drain();
	done++
}
