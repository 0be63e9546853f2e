"""Customer service: answers from documents, with sources, in Chinese and English."""

from __future__ import annotations

from apps.customer_service.service import CustomerService

__all__ = ["CustomerService"]
