"""The addresses of this room's pages."""

from django.urls import path

from aims.people.views import entrance, everybody, mine

urlpatterns = [
    path("sign-in/", entrance.sign_in),
    path("sign-in/begin/", entrance.begin_sign_in),
    path("sign-in/finish/", entrance.finish_sign_in),
    path("sign-out/", entrance.sign_out),
    path("join/<str:token>/", entrance.join),
    path("join/<str:token>/begin/", entrance.begin_joining),
    path("join/<str:token>/finish/", entrance.finish_joining),
    path("me/", mine.profile),
    path("me/passkeys/", mine.passkeys),
    path("me/passkeys/begin/", mine.begin_adding),
    path("me/passkeys/finish/", mine.finish_adding),
    path("me/passkeys/<str:ref>/rename/", mine.rename_passkey),
    path("me/passkeys/<str:ref>/end/", mine.end_passkey),
    path("me/sessions/", mine.sessions),
    path("me/sessions/<str:ref>/end/", mine.end_session),
    path("people/", everybody.people),
    path("people/invite/", everybody.invite),
    path("people/groups/", everybody.create_group),
    path("people/<str:ref>/", everybody.person),
    path("people/<str:ref>/recover/", everybody.recover),
    path("people/<str:ref>/roles/", everybody.change_role),
    path("people/<str:ref>/groups/", everybody.change_group),
    path("people/<str:ref>/access/", everybody.change_access),
    path("people/<str:ref>/passkeys/<str:key_ref>/end/", everybody.end_passkey),
]
