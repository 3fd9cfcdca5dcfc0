/*
 * As a migration that fails: folio_isolate_lru(), a list whose link overwrites mlock_count, folio_putback_lru(), and a drain.
 * In the explorer the isolation is one step, under the LRU lock.
 */
proctype compaction(byte on_cpu) {
	LOCALS;
	c = on_cpu;
	atomic {
		in_full || !lru_lock ->
		test_clear_lru();
		refs = refs + isolated;
		if
		:: isolated && !in_full -> mlock_count = 0
		:: else
		fi;
		tell()
	}
	if
	:: isolated && in_full -> take(lru_lock); drop(lru_lock); d_step { mlock_count = 0; tell() }
	:: else
	fi;
	if
	:: isolated -> folio_putback_lru()
	:: else
	fi;
	lru_add_drain();
	done++
}
