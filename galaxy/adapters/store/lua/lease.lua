-- What a holder's token is worth: nil while it holds the lease of this work (see `WorkRules` in
-- galaxy/domain/work.py) on a version, else the state that it was lost to.
local function lost_to(version, token, work)
  local state, current, lease_until = unpack(redis.call('HMGET', version, 'state', 'token', 'lease_until'))
  if state == work.state and lease_until and current == token then return nil end
  return state or 'missing'
end
