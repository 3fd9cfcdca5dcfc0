/* munlock of a page of a shmem file while a hole is punched; PINNED: somebody else holds the page for a while. */
#include "mlock.pml"

/* shmem_fallocate(): unmap_mapping_range(), under i_mmap_rwsem that nobody else takes, then shmem_undo_range(). */
proctype punch_hole(byte on_cpu) {
	LOCALS;
	bit gathered;
	c = on_cpu;
	lru_add_drain(); /* zap_page_range_single() */
	take(mm[0].ptl);
	if
	:: MAPPED_IN(0) ->
		d_step { mm[0].entry = NONE; tell() } /* ptep_get_and_clear_full() */
		munlock_vma_page(0); /* at the end of page_remove_rmap() */
		gathered = 1 /* the reference that the entry had: __tlb_remove_page() */
	:: else
	fi;
	drop(mm[0].ptl);
	if
	:: gathered -> lru_add_drain(); put_page() /* tlb_finish_mmu(): free_pages_and_swap_cache() */
	:: else
	fi;
	d_step { cached = 0; tell() } /* find_lock_entries() takes a reference, filemap_remove_folio() drops the page cache's */
	lru_add_drain();
	put_page(); /* __pagevec_release() */
	done++
}

proctype unpin() {
	bit freeing;
	put_page();
	done++
}

init {
	choose_in_full();
#ifndef PINNED
	if
	:: without = 0
	:: without = FLAGS_FIRST
#ifndef PATCH_07
	:: without = DRAINS
#endif
	fi;
#endif
	d_step {
		mm[0].vm_locked = 1;
		mm[0].entry = MAPPED;
		cached = 1;
		pg_lru = 1;
		pg_unevictable = 1;
		pg_mlocked = 1;
		nr_mlock = 1;
		mlock_count = 1;
		refs = 2; /* of the entry and of the page cache */
#ifdef PINNED
		refs++;
#endif
		tell()
	}
	atomic {
		run change_locks(0, 0, 0, 1);
#ifdef PINNED
		run unpin();
#endif
		run punch_hole(1)
	}
#ifdef PINNED
	all_done(3)
#else
	all_done(2)
#endif
}
