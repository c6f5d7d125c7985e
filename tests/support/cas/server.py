"""A real CAS server for tests: django-cas-server on loopback, on a port of the system's choice.

Called with a folder for its database; prints its port when it listens, and ends with its standard input. Accounts and
registered services are those of the tests: see `cas.rs` beside this folder.

In two things it is as strict as Apereo's servers are by default, which most campuses run: a `service` at which a logout is to
end must be registered as well, else nothing ends; and of several tickets for one path only the last one is named at single
logout, even if nobody had it validated (`TicketGrantingTicketImpl.trackServiceSession` with
`cas.ticket.tgt.core.only-track-most-recent-session`).
"""

import json
import os
import sys
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

folder, world = sys.argv[1], json.loads(sys.argv[2])
# What an environment says about proxies must not send questions about loopback elsewhere.
os.environ["NO_PROXY"] = "*"

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="only for tests",
    DEBUG=False,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
        "cas_server",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.locale.LocaleMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(folder, "cas.sqlite3"),
            # Ten tabs at once wait for each other instead of failing.
            "OPTIONS": {"timeout": 30, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"},
        }
    },
    USE_TZ=True,
    LANGUAGE_CODE="en",
    STATIC_URL="/static/",
    # Other servers of the same test share the host 127.0.0.1 and so its cookies.
    SESSION_COOKIE_NAME="cas_session",
    CSRF_COOKIE_NAME="cas_csrf",
    CAS_AUTH_CLASS=f"{__name__}.Account",
    CAS_PROXY_CA_CERTIFICATE_PATH=True,
    CAS_NEW_VERSION_HTML_WARNING=False,
    CAS_NEW_VERSION_EMAIL_WARNING=False,
    CAS_SHOW_POWERED=False,
    CAS_TICKET_VALIDITY=world["ticket_seconds"],
    # The pages are to load nothing from elsewhere.
    CAS_COMPONENT_URLS={
        name: "data:,"
        for name in (
            "bootstrap3_css",
            "bootstrap3_js",
            "html5shiv",
            "respond",
            "bootstrap4_css",
            "bootstrap4_js",
            "jquery",
        )
    },
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stderr": {"class": "logging.StreamHandler", "level": "ERROR"}},
        "root": {"handlers": ["stderr"]},
    },
)
# Django imports this file by its name, which for a script is `__main__`.
django.setup()

from cas_server.auth import AuthUser
from cas_server.models import ReplaceAttributName, ServicePattern, ServiceTicket
from cas_server.views import LogoutView
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.http import HttpResponse
from django.urls import include, path


def logout(request):
    service = request.GET.get("service")
    try:
        if service is not None:
            ServicePattern.validate(service)
    except ServicePattern.DoesNotExist:
        return HttpResponse("Application Not Authorized to Use CAS", status=400)
    return LogoutView.as_view()(request)


urlpatterns = [
    path("cas/logout", logout),
    path("cas/", include("cas_server.urls", namespace="cas_server")),
]


@receiver(post_save, sender=ServiceTicket)
def only_the_last_is_named(instance, created, **_):
    if created:
        before = ServiceTicket.objects.filter(user=instance.user, single_log_out=True).exclude(pk=instance.pk)
        of_its_path = [ticket.pk for ticket in before if bare(ticket.service) == bare(instance.service)]
        ServiceTicket.objects.filter(pk__in=of_its_path).update(single_log_out=False)


def bare(service):
    return service.split("?", 1)[0].lower()


class Account(AuthUser):
    """One of the accounts that the test named: name, password, attributes."""

    def test_password(self, password):
        account = world["accounts"].get(self.username)
        return account is not None and account["password"] == password

    def attributs(self):
        return world["accounts"].get(self.username, {}).get("attributes", {})


def register(position, service):
    pattern = ServicePattern.objects.create(
        pos=position,
        name=service["pattern"],
        pattern=service["pattern"],
        user_field=service.get("user_field", ""),
        restrict_users="only" in service,
        proxy=service.get("proxy", True),
        proxy_callback=service.get("proxy_callback", True),
        single_log_out=service.get("single_logout", True),
    )
    for user in service.get("only", []):
        pattern.usernames.create(value=user)
    # Without a list, a service is told no attributes at all.
    for name in service.get("attributes", ["*"]):
        ReplaceAttributName.objects.create(name=name, replace="", service_pattern=pattern)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


call_command("migrate", verbosity=0)
for position, service in enumerate(world["services"]):
    register(position, service)
server = make_server("127.0.0.1", 0, get_wsgi_application(), Server, Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
# The test holds the other end: however it ends, this ends too.
sys.stdin.read()
