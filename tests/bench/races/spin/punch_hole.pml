/*
 * A hole is punched in a shmem file in Linux 6.1: shmem_fallocate() with unmap_mapping_range(), under i_mmap_rwsem that is
 * taken for reading, as by who migrates, then shmem_undo_range(), which takes the page lock.
 */
proctype punch_hole(byte on_cpu) {
	LOCALS;
	bit gathered;
	c = on_cpu;
	lru_add_drain(); /* zap_page_range_single() */
	take(mm[0].ptl);
	if
	:: mm[0].entry[which] == MIGRATION -> d_step { mm[0].entry[which] = NONE; tell() }
	:: MAPPED_IN(0) ->
		d_step { mm[0].entry[which] = NONE; tell() } /* ptep_get_and_clear_full() */
		munlock_vma_page(0); /* at the end of page_remove_rmap() */
		gathered = 1 /* the reference that the entry had: __tlb_remove_page() */
	:: else
	fi;
	drop(mm[0].ptl);
	if
	:: gathered -> lru_add_drain(); put_page() /* tlb_finish_mmu(): free_pages_and_swap_cache() */
	:: else
	fi;
	take(page_lock);
	d_step { cached = 0; tell() } /* find_lock_entries() takes a reference, filemap_remove_folio() drops the page cache's */
	drop(page_lock);
	lru_add_drain();
	put_page(); /* __pagevec_release() */
	done++
}
