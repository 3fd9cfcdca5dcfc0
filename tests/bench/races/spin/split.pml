/*
 * Somebody has the PMD of a huge page split before he splits the page: split_huge_page() with __split_huge_pmd_locked() of
 * mm/huge_memory.c, in Linux 6.1 and 6.12.  He has the page lock and anon_vma's, which nobody else takes here.
 *
 * In the kernel the hook of page_remove_rmap() runs before pmd_populate() puts the table there, all of it under the PMD's lock;
 * in the explorer after it.
 */
inline add_parts() { d_step { refs = refs + NR_PAGES - 1; tell() } } /* page_ref_add() */
inline populate_pmd(m) { d_step { mm[m].entry[which] = TABLE; tell() } }

proctype split(byte on_cpu; byte m) {
	LOCALS;
	c = on_cpu;
	take(page_lock);
	take(mm[m].ptl);
	if
	:: MAPPED_IN(m) ->
		if
		:: in_full -> add_parts(); munlock_vma_page(m); populate_pmd(m)
		:: else ->
			d_step { refs = refs + NR_PAGES - 1; mm[m].entry[which] = TABLE; tell() }
			munlock_vma_page(m)
		fi
	:: else
	fi;
	drop(mm[m].ptl);
	drop(page_lock);
	done++
}
