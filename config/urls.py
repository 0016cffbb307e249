"""All addresses: the page that says what is where, the admin, and the API at the root."""

from django.contrib import admin
from django.urls import include, path, re_path

from agentapp.admin import comparison, overview, search, signing_in, switches, time_zone
from agentapp.console.home import home
from agentapp.console.reference import reference

admin.autodiscover()

urlpatterns = [
    path("", home, name="home"),
    re_path(r"^docs/?$", reference, name="reference"),
    path("admin/views/", include("agentapp.admin.saved_views")),
    path("admin/overview/", overview.refresh, name="overview"),
    path("admin/switch/", switches.switch, name="switch"),
    path("admin/compare/", comparison.page, name="compare"),
    path("admin/search/", search.page, name="search"),
    path("admin/time-zone/", admin.site.admin_view(time_zone.time_zone_page), name="time_zone"),
    path("admin/second-factor/", admin.site.admin_view(signing_in.second_factor_page), name="second_factor"),
    path("admin/", admin.site.urls),
    path("console/", include("agentapp.console.urls")),
    path("", include("agentapp.api.urls")),
]

handler400 = "agentapp.api.fallback.bad_request"
handler404 = "agentapp.api.fallback.not_found"
handler500 = "agentapp.api.fallback.server_error"
