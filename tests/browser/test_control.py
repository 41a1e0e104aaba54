"""Limits, pauses and schedules, as people change them on the page, in a real browser."""

from __future__ import annotations

from playwright.async_api import Browser, Page, expect

from tests.browser.site import Site


async def test_a_limit_is_made_changed_and_removed_and_each_is_seen_without_a_reload(page: Page, site: Site) -> None:
    await page.goto("/limits")
    await page.evaluate("window.isTheSame = true")
    await page.get_by_role("link", name="New limit…").click()
    dialog = page.get_by_role("dialog")
    # what is wrong is said at the field
    await dialog.get_by_role("button", name="Set the limit").click()
    await expect(dialog.locator("[data-path='name'] + .wrong, [data-path='name'] ~ .wrong").first).to_have_text("is needed")
    await dialog.get_by_label("Name").fill("vendor/eu 1")
    await dialog.get_by_role("button", name="Set the limit").click()
    await expect(dialog.locator("[data-path='slots'] + .wrong")).to_contain_text("would limit nothing")
    await dialog.get_by_label("Slots").fill("4")
    await dialog.get_by_label("Rate").fill("soon")
    await dialog.get_by_role("button", name="Set the limit").click()
    await expect(dialog.locator("[data-path='rate'] + .wrong")).to_contain_text("as in 10/min")
    await dialog.get_by_label("Rate").fill("10/min")
    await dialog.get_by_role("button", name="Set the limit").click()

    row = page.locator("[id='limit-vendor/eu 1']")
    await expect(row).to_contain_text("4 tasks")
    await expect(row).to_contain_text("10/min")
    await row.get_by_role("link", name="Change limit").click()
    assert await dialog.get_by_label("Slots").input_value() == "4"
    await dialog.get_by_label("Slots").fill("0")
    await dialog.get_by_label("Rate").fill("")
    await dialog.get_by_role("button", name="Set the limit").click()
    await expect(row).to_contain_text("nothing may start")
    await expect(row).not_to_contain_text("10/min")
    await expect(page.locator("#live")).to_have_text("Done: Set the limit")
    # somebody else changes it
    await site.connection.execute("UPDATE ms_limit SET slots = 7")
    await expect(row).to_contain_text("7 tasks")

    await row.get_by_role("link", name="Change limit").click()
    await dialog.get_by_role("link", name="Remove the limit…").click()
    await expect(dialog).to_contain_text("Remove the limit vendor/eu 1?")
    await dialog.get_by_role("button", name="Remove the limit").click()
    await expect(row).to_have_count(0)
    assert await page.evaluate("window.isTheSame")
    assert await site.connection.fetchval("SELECT count(*) FROM ms_limit") == 0


async def test_who_holds_a_limit_is_followed_while_it_runs(page: Page, site: Site) -> None:
    await site.connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('workflow:digest', 1)")
    await page.goto("/limits")
    row = page.locator("[id='limit-workflow:digest']")
    await expect(row).to_contain_text("nobody")
    first, second = await site.start("digest", url="x"), await site.start("digest", url="y")

    await expect(row.locator(f"a[href='/flows/{first}']")).to_be_visible()
    await expect(row.locator("meter")).to_have_attribute("aria-label", "1 of 1 flows run")
    await expect(row).to_contain_text("1 waiting", use_inner_text=False)
    site.let("fetch")

    await expect(row).to_contain_text("nobody")
    assert await site.is_over(second)


async def test_a_workflow_is_paused_and_unpaused_and_says_so_meanwhile(page: Page, site: Site) -> None:
    await page.goto("/workflows/digest")
    await page.get_by_role("link", name="Pause…").click()
    dialog = page.get_by_role("dialog")
    assert await dialog.get_by_label("Workflow needed").input_value() == "digest"
    await dialog.get_by_label("Until").fill("2020-01-01T12:00")
    await dialog.get_by_role("button", name="Pause").click()
    await expect(dialog.locator("[data-path='until'] ~ .wrong")).to_contain_text("is over")
    await dialog.get_by_label("Until").fill("2990-01-01T12:00")
    await dialog.get_by_label("Reason").fill("stocktaking")
    await dialog.get_by_role("button", name="Pause").click()

    await expect(page.locator("#paused")).to_contain_text("stocktaking")
    flow = await site.start("digest", url="x")
    await page.goto(f"/flows/{flow}")
    await expect(page.locator("#why")).to_contain_text("is paused: stocktaking")
    await page.goto("/")
    await page.get_by_role("link", name="pauses").click()
    row = page.locator("#pause-workflow-digest")
    # noon in Paris is eleven in UTC
    await expect(row.locator("td").nth(2).locator("time")).to_have_attribute("datetime", "2990-01-01T11:00:00Z")
    await row.get_by_role("link", name="Unpause workflow digest").click()
    await dialog.get_by_role("button", name="Unpause").click()

    await expect(page.locator("#pauses")).to_contain_text("Nothing is paused.")
    site.let("fetch")
    await page.goto(f"/flows/{flow}")
    await expect(page.locator("h1 .mark")).to_have_text("✓ finish")


async def test_what_is_paused_is_chosen_by_its_kind_and_a_name_that_nothing_has_is_told(page: Page, site: Site) -> None:
    await page.goto("/limits")
    await page.locator("#pauses").get_by_role("link", name="Pause…").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("What").select_option("program")
    await dialog.get_by_role("combobox", name="Program").fill("fetsh")
    await dialog.get_by_role("button", name="Pause").click()

    await expect(page.locator("#live")).to_have_text("Done: Pause; but no live worker has a program called 'fetsh'; did you mean fetch?")
    await expect(page.locator("#pause-program-fetsh")).to_be_visible()
    await page.locator("#pauses").get_by_role("link", name="Pause…").click()
    await dialog.get_by_label("What").select_option("all")
    await expect(dialog.locator("[data-path='workflow']")).to_have_count(0)
    await dialog.get_by_role("button", name="Pause").click()
    await expect(page.locator("[id='pause-all-*']")).to_be_visible()
    assert await site.connection.fetchval("SELECT count(*) FROM ms_pause") == 2


async def test_a_schedule_is_added_after_what_is_wrong_was_said_at_the_fields_and_fired(page: Page, site: Site) -> None:
    site.let("fetch")
    await page.goto("/schedules")
    await page.get_by_role("link", name="New schedule…").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill("nightly/eu")
    await dialog.get_by_label("Workflow").fill("digset")
    await dialog.get_by_label("Cron").fill("30 2 31 2 *")
    await dialog.get_by_label("Zone").fill("Europe/Pari")
    await dialog.get_by_label("Parameters").fill("[1,")
    await dialog.get_by_role("button", name="Add the schedule").click()
    await expect(dialog.locator("[data-path='parameters'] + .wrong")).to_contain_text("no JSON")
    await dialog.get_by_label("Parameters").fill('{"url": "https://example.org", "top": 7}')
    await dialog.get_by_role("button", name="Add the schedule").click()
    await expect(dialog.locator("[data-path='cron'] + .wrong")).to_contain_text("never fires")
    await expect(dialog.locator("[data-path='zone'] + .wrong")).to_contain_text("did you mean Europe/Paris")
    await dialog.get_by_label("Cron").fill("30 2 * * *")
    await dialog.get_by_label("Zone").fill("America/New_York")
    await dialog.get_by_role("button", name="Add the schedule").click()
    await expect(dialog.locator("[data-path='workflow'] + .wrong")).to_contain_text("did you mean digest")
    await dialog.get_by_label("Workflow").fill("digest")
    await dialog.get_by_role("button", name="Add the schedule").click()

    row = page.locator("[id='schedule-nightly/eu']")
    # half past two in New York is half past eight in Paris (or half past seven, for two weeks in March)
    await expect(row.locator("td").nth(3)).to_contain_text(":30:00")
    await expect(row.locator("td").nth(3)).to_contain_text("02:30 America/New_York")
    await row.get_by_role("link", name="Fire nightly/eu now").click()
    await dialog.get_by_label("Parameters").fill('{"top": 9}')
    await dialog.get_by_role("button", name="Fire").click()
    await expect(row.locator(".mark").first).to_have_text("✓ finish")
    given = await site.connection.fetchval("SELECT parameters::text FROM kr_flow_stat WHERE schedule = 'nightly/eu'")
    assert ('"top": 9' in given, "https://example.org" in given) == (True, True)

    await row.get_by_role("link", name="nightly/eu", exact=True).click()
    await expect(page.locator("#rows tr")).to_have_count(1)


async def test_a_schedule_is_paused_changed_and_removed_on_its_page(page: Page, site: Site) -> None:
    await site.connection.execute("INSERT INTO ms_schedule (name, task_id, cron, zone) VALUES ('nightly/eu', 'sales', '30 2 * * *', 'Europe/Paris')")
    await page.goto("/schedules")
    await page.get_by_role("link", name="nightly/eu", exact=True).click()
    await expect(page.locator("#times li")).to_have_count(5)
    dialog = page.get_by_role("dialog")
    await page.get_by_role("link", name="Pause nightly/eu").click()
    await dialog.get_by_label("Reason").fill("the vendor is away")
    await dialog.get_by_role("button", name="Pause").click()
    await expect(page.locator("main h1")).to_have_text("nightly/eu ‖ paused")
    await expect(page.locator("#schedule .told")).to_have_text("the vendor is away")
    await page.get_by_role("link", name="Unpause nightly/eu").click()
    await dialog.get_by_role("button", name="Unpause").click()
    await expect(page.locator("main h1")).to_have_text("nightly/eu ✓ on")
    await page.get_by_role("link", name="Change…").click()
    await dialog.get_by_label("Cron").fill("")
    await dialog.get_by_label("Zone").fill("")
    await dialog.get_by_label("Every").fill("36h")
    await dialog.get_by_role("button", name="Change the schedule").click()
    await expect(page.locator("#options")).to_contain_text("every 36h")

    await page.get_by_role("link", name="Remove…").click()
    await dialog.get_by_role("button", name="Remove the schedule").click()
    await page.wait_for_url("**/schedules")
    await expect(page.locator(".empty")).to_be_visible()


async def test_a_range_is_made_up_for_after_it_was_shown(page: Page, site: Site) -> None:
    site.let("fetch")
    await site.connection.execute(
        """INSERT INTO ms_schedule (name, task_id, cron, zone, parameters) VALUES ('daily', 'digest', '0 8 * * *', 'Europe/Paris', '{"url": "x"}')"""
    )
    await page.goto("/schedules/daily")
    await page.get_by_role("link", name="Backfill…").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("From").fill("2026-01-01T08:00:00")
    await dialog.get_by_label("To", exact=True).fill("2026-01-03T08:00:00")
    await dialog.get_by_role("button", name="Show which").click()
    await expect(dialog).to_contain_text("Without a flow: 3 times")
    assert await dialog.get_by_label("From").input_value() == "2026-01-01T08:00"
    await dialog.get_by_role("button", name="Make 3 flows").click()

    await expect(page.locator("#rows tr")).to_have_count(3)
    assert await site.connection.fetchval("SELECT min(scheduled_ts)::text FROM kr_flow_stat") == "2026-01-01 07:00:00+00"


async def test_limits_and_schedules_can_be_read_without_javascript(browser: Browser, site: Site) -> None:
    await site.connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('stripe', 4)")
    await site.connection.execute("INSERT INTO ms_schedule (name, task_id, cron, zone) VALUES ('nightly', 'digest', '30 2 * * *', 'Europe/Paris')")
    async with await browser.new_context(base_url=site.url, java_script_enabled=False) as context:
        page = await context.new_page()
        await page.goto("/")
        await page.get_by_role("link", name="Limits").click()
        await page.get_by_role("link", name="Change limit stripe").click()
        await expect(page.locator("main")).to_contain_text("It counts at once.")
        await page.get_by_role("link", name="Schedules").click()
        await expect(page.locator("#schedule-nightly time").first).to_contain_text("UTC")
        await page.get_by_role("link", name="nightly", exact=True).click()
        await expect(page.locator("#times")).to_contain_text("02:30 Europe/Paris")


async def test_nothing_moves_when_limits_and_schedules_change(page: Page, site: Site) -> None:
    await site.connection.execute("INSERT INTO ms_limit (name, slots) VALUES ('workflow:digest', 3), ('zebra', 1)")
    await site.connection.execute(
        "INSERT INTO ms_schedule (name, task_id, every, parameters) VALUES ('a', 'digest', '1 day', '{\"url\": \"x\"}'), ('b', 'digest', '1 h', '{}')"
    )
    for address in ("/limits", "/schedules"):
        await page.goto(address)
        await page.wait_for_timeout(1000)
        await page.evaluate(
            """window.moved = 0; new PerformanceObserver(
                list => list.getEntries().forEach(entry => moved += entry.value)).observe({type: "layout-shift"})"""
        )
        for _ in range(5):
            await site.connection.execute("SELECT flower_fire('a')")
        await expect(page.locator("main")).to_contain_text("3 flows" if address == "/limits" else "ago")
        await page.wait_for_timeout(1500)
        assert await page.evaluate("window.moved") < 0.001, address
