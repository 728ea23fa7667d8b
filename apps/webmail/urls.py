app_name = "webmail"
urlpatterns: list[object] = []
