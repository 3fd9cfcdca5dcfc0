/* munlock of a page of a shmem file while a hole is punched, in Linux 5.10. */
#include "linux_5_10.pml"

/*
 * shmem_fallocate(): unmap_mapping_range(), under i_mmap_rwsem that nobody else takes, then shmem_undo_range(), which takes the
 * page lock to remove the page from the page cache.
 */
proctype punch_hole(byte on_cpu) {
	LOCALS;
	bit gathered;
	c = on_cpu;
	lru_add_drain(); /* zap_page_range_single() */
	take(mm[0].ptl);
	if
	:: MAPPED_IN(0) ->
		d_step { mm[0].entry[which] = NONE; tell() } /* ptep_get_and_clear_full() */
		if
		:: pg_mlocked -> clear_page_mlock() /* page_remove_rmap() of the last mapping */
		:: else
		fi;
		gathered = 1
	:: else
	fi;
	drop(mm[0].ptl);
	if
	:: gathered -> lru_add_drain(); put_page() /* tlb_finish_mmu(): free_pages_and_swap_cache() */
	:: else
	fi;
	if
	:: in_full -> d_step { refs++; tell() } /* find_get_entries() */
	:: else
	fi;
	take(page_lock);
	d_step { /* delete_from_page_cache() */
		cached = 0;
		refs = refs - in_full;
		tell()
	}
	drop(page_lock);
	lru_add_drain();
	put_page(); /* pagevec_release() */
	done++
}

init {
	choose_in_full();
	d_step {
		mm[0].vm_locked = 1;
		mm[0].entry[which] = MAPPED;
		cached = 1;
		pg_lru = 1;
		pg_unevictable = 1;
		pg_mlocked = 1;
		nr_mlock = 1;
		refs = 2; /* of the entry and of the page cache */
		tell()
	}
	atomic { run change_locks(0, 0); run punch_hole(1) }
	all_done(2)
}
