"""The search page as a person uses it, in a real browser: by mouse, by keys, on a phone, with a key, without media."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.serving.front import Front
from pipeline.serving.replicas.media import Media
from schemas.config import ServeConfig
from schemas.errors import VectorStoreError
from schemas.http import IndexField
from schemas.results import HitExplanation
from tests.media import make_video
from tests.pipeline.serving.fake_backend import CLIPS, FakeBackend, hit_of
from tests.servers import asgi, browser

# Looked at by people; nothing compares with it.
SHOTS = Path(__file__).resolve().parents[4] / "out" / "page"
KEY = "k" * 30


def heat_map():
    """A picture whose opacity is the weight."""
    alpha = np.outer(np.hanning(7), np.hanning(7))
    picture = np.zeros((7, 7, 4), np.uint8)
    picture[..., 0], picture[..., 1], picture[..., 3] = 255, 140, 255 * alpha
    written = io.BytesIO()
    Image.fromarray(picture).save(written, "PNG")
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()


class ShownBackend(FakeBackend):
    """Three clips of real videos, in another order without the second stage, explained where that is asked for."""

    async def search(self, request):
        found = await super().search(request)
        order = CLIPS if request.rerank else CLIPS[::-1]
        times = [0.25 * place for place in range(8)]
        weights = [0.02, 0.03, 0.05, 0.1, 0.2, 0.35, 0.15, 0.1]
        explanation = HitExplanation(
            frame_times_s=times, frame_weights=weights, patch_weights=[[1.0]], heatmap_png=heat_map()
        )
        hits = [
            hit_of(
                clip_id, rank, uri=self.uris[clip_id], score=1.5 - rank / 5, coarse_score=0.5 - rank / 50,
                best_s=1.25 if request.rerank else None, stage="fine" if request.rerank else "coarse",
                explanation=explanation if request.explain else None,
            )
            for rank, clip_id in enumerate(order, start=1)
        ]  # fmt: skip
        return found.model_copy(update={"hits": hits})

    async def index(self):
        fields = [IndexField(name="width", type="int"), IndexField(name="category", type="string")]
        return (await super().index()).model_copy(update={"fields": fields})


@pytest.fixture(scope="module")
def uris(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    # Of a codec that every build of Chromium plays.
    sizes = ((160, 90), (90, 160), (96, 96))
    made = {
        clip_id: make_video(folder / f"{clip_id}.webm", num_frames=24, size=size, seed=seed)
        for seed, (clip_id, size) in enumerate(zip(CLIPS, sizes, strict=True))
    }
    return {clip_id: str(path) for clip_id, path in made.items()}


@pytest.fixture(scope="module")
def chromium():
    with browser.running() as running:
        yield running


@pytest.fixture(scope="module")
def media():
    media = Media(still_timeout_s=120)
    yield media
    media.__del__()  # as Ray Serve does with a replica that ends


@pytest.fixture
def backend(uris):
    return ShownBackend(uris=uris)


@pytest.fixture
def serve(backend, media):
    """A function that opens the page of a service with these settings; nothing may go wrong on it unseen."""
    open_services = []

    def opened(chromium, width=1280, height=860, **settings):
        app = Front.of(ServeConfig(index="i", request_log="/dev/null", **settings)).app(backend, media)
        service = asgi.running(app)
        url = service.__enter__()
        context = chromium.new_context(viewport={"width": width, "height": height})
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.complaints = []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
        page.outside = []
        page.on("request", lambda request: request.url.startswith((url, "data:")) or page.outside.append(request.url))
        open_services.append((service, context))
        page.goto(url)
        return page

    yield opened
    for service, context in open_services:
        context.close()
        service.__exit__(None, None, None)


def until(page, holds, tries=400):
    """Wait for an expression to be true; playwright's own way needs `eval`, which the page forbids."""
    for _ in range(tries):
        if page.evaluate(holds):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never: {holds}; {page.inner_text('body')}")


def ask(page, text="a red star"):
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type(text)
    page.keyboard.press("Enter")
    page.wait_for_selector(".card")


def ranks(page, where=""):
    return [card.get_attribute("data-clip") for card in page.query_selector_all(f"{where} .card")]


def shoot(page, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def wait_for_pictures(page):
    until(page, "[...document.querySelectorAll('.still')].every((i) => i.complete && i.naturalWidth > 0)")


def test_a_text_is_typed_and_its_clips_come_with_pictures_scores_and_weights(chromium, serve):
    page = serve(chromium)
    until(page, "document.getElementById('served').textContent.includes('version 3')")
    ask(page)
    wait_for_pictures(page)
    assert ranks(page) == list(CLIPS)
    card = page.locator(".card").first
    assert card.locator(".line rect.frame, .line rect.best").count() == 8
    assert [meter.get_attribute("aria-label") for meter in card.locator("meter").all()] == ["two-stage", "coarse"]
    assert "1.300" in card.inner_text()
    assert "3 clips" in page.inner_text("#status")
    assert "ms in all" in page.inner_text("#latency")
    assert "q=a%20red%20star" in page.url
    shoot(page, "results")
    assert (page.complaints, page.outside) == ([], [])


def test_a_clip_plays_at_the_matched_moment(chromium, serve):
    page = serve(chromium)
    ask(page)
    page.locator(".shot").first.click()
    page.wait_for_selector("#player[open]")
    assert page.get_attribute("#video", "src").endswith("#t=1.250,2.000")
    until(page, "document.getElementById('video').currentTime >= 1.2")
    # A press on a bar of the time line goes to its frame.
    page.locator("#player-line rect.frame").first.click()
    until(page, "document.getElementById('video').currentTime < 1.2")
    shoot(page, "player")
    page.keyboard.press("Escape")
    page.wait_for_selector("#player[open]", state="detached")
    assert page.complaints == []


def test_keys_alone_are_enough(chromium, serve):
    page = serve(chromium)
    ask(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert "rank 2" in page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("Enter")
    page.wait_for_selector("#player[open]")
    assert page.inner_text("#player-name").startswith("2.")
    page.locator("#player-close").focus()
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#player-name").startswith("3.")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.id") == "query"


def test_coarse_stands_beside_two_stages(chromium, serve, backend):
    page = serve(chromium)
    ask(page)
    page.locator("#compare").check()
    page.wait_for_selector(".two .card")
    assert ranks(page, "section[aria-label=Coarse]") == list(CLIPS[::-1])
    assert ranks(page, "section[aria-label='Two stages']") == list(CLIPS)
    assert page.locator(".move.up").first.inner_text() == "↑ 2"
    assert {request.rerank for request in backend.asked} == {True, False}
    wait_for_pictures(page)
    shoot(page, "compare")


def test_the_heat_map_lies_on_the_middle_of_the_picture(chromium, serve):
    page = serve(chromium)
    ask(page)
    wait_for_pictures(page)
    assert not page.locator(".heat").first.is_visible()
    page.locator("#heat").check()
    # The middle square of a frame: of a wide one its height, of a tall one its width, here 9 / 16 of the height.
    for place, share in enumerate((1.0, 9 / 16, 1.0)):
        card = page.locator(".card").nth(place)
        heat, still, shot = (card.locator(name).bounding_box() for name in (".heat", ".still", ".shot"))
        assert still == pytest.approx(shot, abs=1)
        assert heat["width"] == pytest.approx(heat["height"], rel=0.02)
        assert heat["height"] == pytest.approx(share * shot["height"], rel=0.02)
        assert heat["x"] + heat["width"] / 2 == pytest.approx(shot["x"] + shot["width"] / 2, abs=1)


def test_filters_are_made_of_the_fields_of_the_index(chromium, serve, backend):
    page = serve(chromium)
    page.locator("#filters-open").click()
    assert page.locator(".condition select").first.locator("option").all_inner_texts() == ["width", "category"]
    page.locator(".condition select").nth(1).select_option(">=")
    page.locator(".condition input").fill("640")
    page.locator("#condition-add").click()
    page.locator(".condition").nth(1).locator("select").first.select_option("category")
    page.locator(".condition").nth(1).locator("input").fill('a "b"')
    page.fill("#query", "a")
    page.locator("#query").press("Enter")
    page.wait_for_selector(".card")
    assert backend.asked[-1].filter.model_dump(by_alias=True) == {
        "and": [
            {"field": "width", "op": ">=", "value": 640},
            {"field": "category", "op": "==", "value": 'a "b"'},
        ]
    }


def test_clips_like_one_are_one_press_away(chromium, serve):
    page = serve(chromium)
    ask(page)
    page.locator(".shot").first.click()
    page.locator("#player-similar").click()
    page.wait_for_selector("section[aria-label^='Clips like']")
    assert len(ranks(page)) == 3


def test_a_key_is_asked_for_and_kept_for_the_tab_alone(chromium, serve, monkeypatch):
    monkeypatch.setenv("KEYS", KEY)
    page = serve(chromium, api_keys="env:KEYS")
    page.wait_for_selector("#key-dialog[open]")
    page.fill("#key", "x" * 30)
    page.keyboard.press("Enter")
    until(page, "document.getElementById('key-why').textContent.includes('not known')")
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    until(page, "document.getElementById('served').textContent.includes('version 3')")
    ask(page)
    wait_for_pictures(page)
    assert page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [1, 0, ""]
    assert KEY not in page.content()


def test_trouble_is_told_in_words(chromium, serve, backend):
    page = serve(chromium)
    ask(page)
    backend.error = VectorStoreError("Milvus is away")
    page.locator("#query").press("Enter")
    page.wait_for_selector("#trouble:not([hidden])")
    assert page.inner_text("#trouble") == "Milvus is away"
    backend.error = None
    page.locator("#query").press("Enter")
    page.wait_for_selector("#trouble", state="hidden")


def test_what_an_index_names_is_text_and_never_markup(chromium, serve, backend):
    evil = '/v/<img src=x onerror="document.title=1">.webm'
    backend.uris = dict.fromkeys(CLIPS, evil)
    page = serve(chromium)
    ask(page, "<b>bold</b>")
    assert evil.rsplit("/", maxsplit=1)[-1] in page.locator(".name").first.inner_text()
    assert page.locator("main b img, main img[src=x]").count() == 0


def test_a_phone_shows_it_all_without_scrolling_sideways(chromium, serve):
    page = serve(chromium, width=375, height=740)
    ask(page)
    wait_for_pictures(page)
    for _ in range(2):
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        page.locator("#compare").check()
        page.wait_for_selector(".two .card")
    shoot(page, "phone")


def test_without_media_it_still_searches(chromium, serve):
    page = serve(chromium, media=False)
    ask(page)
    assert page.locator(".shot.blank").count() == 3
    page.locator(".shot").first.click()
    assert page.locator("#no-video").is_visible()
    assert page.complaints == []


def test_every_control_has_a_name(chromium, serve):
    page = serve(chromium)
    ask(page)
    page.locator("#filters-open").click()
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, input, select")]
            .filter((each) => !(each.getAttribute("aria-label") || each.labels?.length || each.textContent.trim()))
            .map((each) => each.outerHTML)"""
    )
    assert nameless == []
    assert page.evaluate("document.documentElement.lang") == "en"
