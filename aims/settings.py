"""Django settings, read from ``AIMS_*`` (docs/configuration.md lists every variable).

Importing this module never needs a secret, so that types, tests and ``check`` run anywhere.
What a server must have before it starts is checked by ``aims/startup.py``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(os.environ.get("AIMS_VAR_DIR", BASE_DIR / "var"))


def text(name: str, default: str = "") -> str:
    """Return ``AIMS_<name>``, or the content of the file that ``AIMS_<name>_FILE`` names."""
    if path := os.environ.get(f"AIMS_{name}_FILE"):
        return Path(path).read_text().strip()
    return os.environ.get(f"AIMS_{name}", default)


def flag(name: str, default: bool = False) -> bool:
    """Return ``AIMS_<name>`` as a fact: 1, true, yes, on are true."""
    value = os.environ.get(f"AIMS_{name}")
    return default if value is None else value.lower() in {"1", "true", "yes", "on"}


def words(name: str, default: str = "") -> list[str]:
    """Return ``AIMS_<name>`` split at commas, blanks dropped."""
    return [word for part in text(name, default).split(",") if (word := part.strip())]


# -- the deployment ------------------------------------------------------------------------------
ISSUER = text("ISSUER", "http://localhost:8000").rstrip("/")
ISSUER_HOST = urlsplit(ISSUER).hostname or "localhost"
IS_HTTPS = urlsplit(ISSUER).scheme == "https"
RP_ID = text("RP_ID", ISSUER_HOST)
RP_ORIGINS = [ISSUER]
TRUST_DOMAIN = text("TRUST_DOMAIN", ISSUER_HOST)
REDIS_URL = text("REDIS_URL")
IS_SCALED = bool(REDIS_URL)
FETCH_ALLOW = words("FETCH_ALLOW")
CLIENT_CERT_PROXIES = words("CLIENT_CERT_PROXIES")
KEKS = words("KEK")
LOG_ORIGIN = text("LOG_ORIGIN")
LOG_KEY_FILE = os.environ.get("AIMS_LOG_KEY_FILE", "")
TSA_URL = text("TSA_URL")
TSA_ROOTS = os.environ.get("AIMS_TSA_ROOTS", "")
TLOG_POLICY = os.environ.get("AIMS_TLOG_POLICY", "")
CHECKPOINT_DIR = os.environ.get("AIMS_CHECKPOINT_DIR", "")
EXPORT_DIR = os.environ.get("AIMS_EXPORT_DIR") or str(VAR_DIR / "exports")
PERSON_KEYS_IS_CHOSEN = bool(text("PERSON_KEYS"))
PERSON_KEYS = text("PERSON_KEYS") or str(VAR_DIR / "person-keys.sqlite3")
METRICS_TOKEN = text("METRICS_TOKEN")
DPOP_NONCE = flag("DPOP_NONCE")
FAPI = flag("FAPI")
REGISTRATION = flag("REGISTRATION", True)
CLIENT_DOCUMENTS = flag("CLIENT_DOCUMENTS", True)

# -- Django --------------------------------------------------------------------------------------
SECRET_KEY = text("SECRET_KEY")
DEBUG = flag("DEBUG")
ALLOWED_HOSTS = words("ALLOWED_HOSTS", ISSUER_HOST)
if ISSUER_HOST == "localhost":
    ALLOWED_HOSTS += ["127.0.0.1", "[::1]"]  # only to be sent to localhost (console.middleware.OneHost)
CSRF_TRUSTED_ORIGINS = [ISSUER]
ROOT_URLCONF = "aims.urls"
WSGI_APPLICATION = "aims.wsgi.application"
ASGI_APPLICATION = "aims.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "people.User"
AUTHENTICATION_BACKENDS = ["aims.people.backend.PasskeyBackend"]
SILENCED_SYSTEM_CHECKS = ["auth.W004"]  # User.email is unique, by a constraint on Lower(email) that the check overlooks

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "django_filters",
    "oauth2_provider",
    "aims",
    "aims.people",
    "aims.identifier",
    "aims.policy",
    "aims.credentials",
    "aims.authentication",
    "aims.authorization",
    "aims.observability",
    "aims.compliance",
    "aims.console",
    "approvals",
    "audit",
]

# Machine endpoints know no session, no cookie and no nonce: the Page… classes step aside for them.
MIDDLEWARE = [
    "aims.console.middleware.OneHost",
    "aims.console.middleware.Security",
    "aims.console.middleware.StaticFiles",
    "aims.console.middleware.PageCompression",
    "aims.console.middleware.PageSecurityPolicy",
    "aims.console.middleware.PageSession",
    "aims.console.middleware.PageCommon",
    "aims.console.middleware.PageCsrf",
    "aims.console.middleware.PageAuthentication",
    "aims.console.middleware.PagePerson",
    "aims.console.middleware.PageMessages",
    "aims.console.middleware.FrameOptions",
]
# What is left of these at /oauth/ under ASGI (aims/asgi.py).
MACHINE_MIDDLEWARE = ["aims.console.middleware.Security", "aims.console.middleware.FrameOptions"]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "aims.console.context.frame",
            ],
            "builtins": ["aims.console.templatetags.words"],
        },
    }
]

# -- data ----------------------------------------------------------------------------------------
_environ = environ.Env()
DATABASES: dict[str, dict[str, Any]] = {
    "default": _environ.db_url_config(text("DATABASE_URL", f"sqlite:///{VAR_DIR / 'aims.sqlite3'}"))
}
IS_SQLITE = DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3"
if IS_SQLITE:
    # synchronous=FULL: an approval that was answered must survive a power cut. secure_delete=FAST: what a row said before
    # does not linger in the pages that are written anyway; an erasure asks for more.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA secure_delete=FAST;",
    }
else:
    DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {"min_size": 1, "max_size": 16, "timeout": 10}

CACHES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    if IS_SCALED
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        # redis-py gives up a read after 5 s, which is as long as the layer waits for a bell: every open page would be
        # thrown out each 5 s, and held polls would never hear of a decision (channels_redis issue 422). Keep-alive
        # notices a Redis that is gone without a word.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None, "socket_keepalive": True}]},
    }
    if IS_SCALED
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}

# -- sessions, cookies, headers --------------------------------------------------------------------
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_NAME = "__Host-aims" if IS_HTTPS else "aims"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
CSRF_COOKIE_NAME = "__Host-aims-csrf" if IS_HTTPS else "aims-csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Strict"
CSRF_FAILURE_VIEW = "aims.console.views.csrf_failure"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_HSTS_SECONDS = 31536000 if IS_HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if flag("BEHIND_PROXY") else None
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200

from csp.constants import NONCE, NONE, SELF  # noqa: E402  (a setting, not an import of code)

_SOCKET = ISSUER.replace("http", "ws", 1)
CONTENT_SECURITY_POLICY: dict[str, Any] = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF, _SOCKET],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "require-trusted-types-for": ["'script'"],
        "trusted-types": ["htmx", "aims"],
    }
}

# -- words, time, files ----------------------------------------------------------------------------
LANGUAGE_CODE = "en"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
LOCALE_PATHS = [BASE_DIR / "aims" / "locale"]
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]  # served from here: there is no build step, so nothing to collect
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
LOGIN_URL = "/sign-in/"
EMAIL_CONFIG = _environ.email_url_config(text("EMAIL_URL", "consolemail://"))
vars().update(EMAIL_CONFIG)
EMAIL_TIMEOUT = 10  # seconds; without it a mail server that says nothing would hold a sweep for ever

# -- OAuth -----------------------------------------------------------------------------------------
OAUTH2_PROVIDER_APPLICATION_MODEL = "authorization.Application"
OAUTH2_PROVIDER_ACCESS_TOKEN_MODEL = "authorization.AccessToken"
OAUTH2_PROVIDER_REFRESH_TOKEN_MODEL = "authorization.RefreshToken"
OAUTH2_PROVIDER_ID_TOKEN_MODEL = "authorization.IDToken"
OAUTH2_PROVIDER_GRANT_MODEL = "authorization.AuthorizationCode"
OAUTH2_PROVIDER_DEVICE_GRANT_MODEL = "authorization.DeviceCode"
OAUTH2_PROVIDER: dict[str, Any] = {
    "OIDC_ISS_ENDPOINT": ISSUER,
    "PKCE_REQUIRED": True,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],
    "REQUEST_APPROVAL_PROMPT": "force",
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "ROTATE_REFRESH_TOKEN": True,
    "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 0,
    "ACCESS_TOKEN_EXPIRE_SECONDS": 300,
    # RFC 9700: every gate closed. The toolkit's own endpoints are not mounted either (aims/authorization/README.md).
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
    "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,
    "COMPLIANT_BCP_RFC9700_REFRESH_TOKEN": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_SCHEME": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_MATCHING": True,
    "COMPLIANT_BCP_RFC9700_PKCE_REQUIRED": True,
}

# -- API -------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["aims.console.api.auth.OwnAccessToken"],
    "DEFAULT_PERMISSION_CLASSES": ["aims.console.api.auth.HasManageScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["aims.console.api.parsing.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "aims.console.api.paging.KeysetPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "aims.console.api.problems.handle",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "AIMS Console management API",
    "VERSION": "v1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "COMPONENT_SPLIT_REQUEST": True,
    # Sets of words of members with one name, or with several: else a name would be made of a hash.
    "ENUM_NAME_OVERRIDES": {
        "ResourceKindEnum": "aims.identifier.models.Resource.Kind",
        "TokenKindEnum": "aims.authorization.models.TokenKind",
        "TrustRuleKindEnum": "aims.authorization.client_models.TrustRule.Kind",
        "EvidenceStateEnum": [(state, state) for state in ("good", "unknown", "stale", "gap")],
        "FeedKindEnum": [(kind, kind) for kind in ("http", "syslog")],
        "FeedFormatEnum": [(name, name) for name in ("canonical", "ocsf", "cef")],
        "FindingStateEnum": "aims.observability.models.FindingState",
        "ProfileEnum": "aims.authorization.trust_models.Profile",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "aims.console.api.describing.complete",
    ],
}

# -- jobs ------------------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL or "memory://localhost/"  # without a host kombu warns at each start
CELERY_TASK_IGNORE_RESULT = True
CELERY_TIMEZONE = "UTC"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# The default polling interval of memory:// costs up to 2 s for each nudge.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600} if IS_SCALED else {"polling_interval": 0.01}

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "aims.kit.logline.LogLine",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
            "secret_after": ["/join/"],
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": text("LOG_LEVEL", "INFO")},
    # A client's 4xx is an answer, not trouble of ours: refusals stand in the audit log.
    "loggers": {"django.request": {"level": "ERROR"}},
}
