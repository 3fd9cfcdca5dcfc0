"""Events of calls, told from counters that were written down by hand."""

from __future__ import annotations

import pytest

from bench.prediction.terms import CALLS, KEPT, REFILLED, SPILLED, TERMS, events
from mmmodel.kernels import FOLIO_WALK, PAGE_WALK, PER_PAGE


def test_look_ups_of_per_page_are_told_apart_by_where_they_ended() -> None:
    # 10 look-ups: 1 ended in the top table, 2 at the PUD, 3 at the PMD, and 4 came to a page table: 3 holes, 1 page, whose
    # vector got two more pages and ended at an entry without one.
    counters = {"model_follow_page": 10, "model_pages_looked_up": 12, "model_pgd_read": 10, "model_pud_read": 9}
    counters |= {"model_pmd_read": 7, "model_pte_read": 4 + 3, "model_tables_entered": 9 + 7 + 4, "model_pagevecs": 1}
    counters |= {"model_pte_lock": 4 + 1}
    found = events(PER_PAGE, "munlock", counters)
    assert {name: found[name] for name in ("hole_at_pgd", "hole_at_pud", "hole_at_pmd", "hole_at_pte")} == {
        "hole_at_pgd": 1,
        "hole_at_pud": 2,
        "hole_at_pmd": 3,
        "hole_at_pte": 3,
    }
    assert (found["vector"], found["vector_page"], found["vector_ended"], found["huge_page"]) == (1, 3, 1, 0)


def test_huge_pages_are_no_pages_of_the_batch() -> None:
    # Two PMD entries: a page table of 512 entries with 5 pages, and a huge page.
    counters = {
        "model_pgd_read": 1,
        "model_pud_read": 1,
        "model_pmd_read": 2,
        "model_pte_read": 512,
        "model_mlock_pte_range": 2,
    }
    counters |= {"model_pte_lock": 2, "model_tables_entered": 3, "model_pages_looked_up": 513, "unevictable_pgs_munlocked": 517}
    found = events(PAGE_WALK, "munlock", counters)
    assert (found["huge_page"], found["page_table"], found["pte"], found["unlock_page"]) == (1, 1, 512, 5)
    assert (found["upper_entry"], found["pmd_entry"]) == (2, 2)


def test_a_huge_page_by_entries_is_no_pages_of_the_batch_of_6_12() -> None:
    # A page table of 512 entries: all of a huge page, unlocked with it.
    counters = {"model_pgd_read": 1, "model_pud_read": 1, "model_pmd_read": 1, "model_pte_read": 512, "model_pte_folio": 512}
    counters |= {"model_mlock_pte_range": 1, "model_pte_lock": 1, "model_tables_entered": 3, "model_pages_looked_up": 512}
    found = events(FOLIO_WALK, "munlock", counters | {"unevictable_pgs_munlocked": 512})
    assert (found["huge_part"], found["unlock_page"], found["huge_page"]) == (512, 0, 0)


def test_unmapping_reads_tables_and_gives_up_pages_and_zero_pages() -> None:
    counters = {"model_zap_read": 9, "model_zapped": 4, "model_zap_special": 3, "model_tables_freed": 2}
    counters |= {"model_unmap_pmd_read": 1024, "model_unmap_upper_read": 8, "model_vmas_freed": 1}
    for algorithm in TERMS:
        found = events(algorithm, "exit", counters)
        assert (found["unmap_entry"], found["unmap_page"], found["unmap_zero"], found["unmap_table"]) == (9, 4, 3, 2)
        assert (found["unmap_pmd"], found["unmap_upper"], found["exit_vma"]) == (1024, 8, 1)
        assert events(algorithm, "munmap", counters)["unmap_vma"] == 1


def test_pages_that_lists_cannot_keep_and_vmas_gone_past_are_events_of_calls_that_have_them() -> None:
    counters = {SPILLED: 63, REFILLED: 126, KEPT: 4, "model_putback": 20, "model_isolated": 15}
    for algorithm in TERMS:
        assert events(algorithm, "munmap", counters)["unmap_spilled"] == 63
        assert events(algorithm, "mlock", counters)["fault_refilled"] == 126
        assert (
            events(algorithm, "munlockall", counters)["unlock_kept"],
            events(algorithm, "mlock", counters)["lock_kept"],
        ) == (4, 4)
    assert events(PER_PAGE, "exit", counters)["unmap_drained"] == 5  # 5.10 puts those that it unlocked back as well
    assert events(PAGE_WALK, "exit", counters | {"unevictable_pgs_culled": 2})["unmap_drained"] == 18


def test_five_levels_are_as_four_below_the_top() -> None:
    four = {"model_follow_page": 4, "model_pages_looked_up": 4, "model_pgd_read": 4, "model_pud_read": 4}
    five = four | {"model_p4d_read": 4, "model_tables_entered": 8}
    four |= {"model_tables_entered": 4}
    assert events(PER_PAGE, "munlock", five) == events(PER_PAGE, "munlock", four)


@pytest.mark.parametrize("algorithm", TERMS)
def test_names_of_terms_are_unique_and_every_call_has_a_constant(algorithm: int) -> None:
    names = [one.name for one in TERMS[algorithm]]
    assert len(names) == len(set(names))
    for call, kind in CALLS.items():
        assert events(algorithm, call, {})[f"{kind}_call"] == 1
