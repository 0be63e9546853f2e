from apps.ui import look
from apps.ui.session import t

look.header(t("models.title"))
