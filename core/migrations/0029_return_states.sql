-- The sample shop: how far a return is. A return is registered, then its parcel arrives, then the money goes back.
ALTER TABLE shop_returns ADD COLUMN received_at REAL;
ALTER TABLE shop_returns ADD COLUMN refunded_at REAL;
