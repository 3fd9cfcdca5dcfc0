/*
 * mlock, then munlock, while reclaim is at an anonymous page, in Linux 5.10: shrink_inactive_list() and shrink_page_list() of
 * mm/vmscan.c with try_to_unmap_one() of mm/rmap.c, then a drain.  The page was not referenced lately.
 */
#include "linux_5_10.pml"

/* Under the page lock; leaves `kept` set if the page is to be put back. */
inline shrink_page_list() {
	d_step { refs++; cached = 1; tell() } /* add_to_swap() */
	take(mm[0].ptl); /* try_to_unmap_one() */
	if
	:: mm[0].vm_locked -> mlock_vma_page()
	:: else ->
		d_step { mm[0].entry[which] = SWAP; tell() }
		if
		:: pg_mlocked -> clear_page_mlock() /* page_remove_rmap() of the last mapping */
		:: else
		fi;
		put_page() /* the reference that the entry had */
	fi;
	drop(mm[0].ptl);
	if
	:: MAPPED_IN(0) -> /* activate_locked: try_to_free_swap() if mlocked */
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
}

/* As the explorer has it (docs/fidelity.md): the page is not unmapped if anybody else has a reference, or else freed. */
inline shrink_simply() {
	take(mm[0].ptl);
	if
	:: mm[0].vm_locked -> mlock_vma_page()
	:: else ->
		d_step {
			kept = (refs != 2); /* of the entry and of the isolation */
			if
			:: kept
			:: else -> mm[0].entry[which] = SWAP; refs--
			fi;
			tell()
		}
	fi;
	drop(mm[0].ptl);
	if
	:: kept
	:: else -> put_page()
	fi
}

proctype reclaim(byte on_cpu) {
	LOCALS;
	bit kept;
	c = on_cpu;
	atomic { /* isolate_lru_pages(), under the LRU lock, off an evictable list */
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
		atomic { found = !page_lock; page_lock = 1 } /* trylock_page() */
		if
		:: found ->
			if
			:: !pg_mlocked -> /* page_evictable() */
				if
				:: in_full -> shrink_page_list()
				:: else -> shrink_simply()
				fi
			:: else
			fi;
			page_lock = 0
		:: else
		fi;
		if
		:: kept -> putback_lru_page()
		:: else
		fi
	:: else
	fi;
	lru_add_drain();
	done++
}

init {
	choose_in_full();
	d_step {
		mm[0].entry[which] = MAPPED;
		pg_lru = 1;
		refs = 1; /* of the entry */
		tell()
	}
	atomic { run change_locks(0, 1); run reclaim(1) }
	all_done(2)
}
